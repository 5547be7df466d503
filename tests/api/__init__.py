"""The Places API over HTTP, every answer checked against the spec, and what its queries find."""
