"""What a simulation reports when the product has not kept its word."""


class BrokenPromise(AssertionError):
    """A promise, and what was seen instead."""
