"""The only folder that writes to OpenTelemetry."""
