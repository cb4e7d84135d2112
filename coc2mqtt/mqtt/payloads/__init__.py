"""The published contract: payload models, metadata and JSON schemas."""
