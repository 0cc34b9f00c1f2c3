"""Puts the house together: settings, urls, subscriptions, commands, one file per process."""
