"""Events as they happen, on connections that hold no thread (server-sent events)."""
