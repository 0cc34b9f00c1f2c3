"""What several tests need: files, peers, a running instance."""
