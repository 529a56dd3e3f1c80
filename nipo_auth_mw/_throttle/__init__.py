"""Counts that bound guesses and mails."""
