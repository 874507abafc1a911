"""What is PostgreSQL's alone: connections with time limits, and what guards answers from it."""
