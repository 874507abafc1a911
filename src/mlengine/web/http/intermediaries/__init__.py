"""What stands between a client and the platform: browsers, caches, proxies, compression."""
