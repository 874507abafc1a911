"""Standard Webhooks: the signature, and when a failed attempt is made again."""
