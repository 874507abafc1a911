"""The contract of the routes as an OpenAPI document, made of what the views say of themselves."""
