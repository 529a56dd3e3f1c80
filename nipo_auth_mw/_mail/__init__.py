"""Mails: addresses, notifications and the outbox."""
