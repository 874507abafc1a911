"""Corporate actions: what was known of them when, and what they do to earlier prices."""
