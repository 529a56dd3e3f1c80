"""The audit log: kinds of events, the way into the log, and the seals that show tampering."""
