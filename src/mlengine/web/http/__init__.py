"""What every route shares: requests, responses, errors, guards, limits."""
