"""The dashboard: it watches a runtime through a probe and offers pages, JSON and an event stream."""
