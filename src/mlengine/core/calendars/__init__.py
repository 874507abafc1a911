"""When markets trade: sessions, the bars that are expected of them, and which symbol is whose."""
