"""What is measured of the daemon, its calls and its builds, and spans that clients and
containers hand in. What spans and metrics are, and how they are sent, is `croze.telemetry`."""
