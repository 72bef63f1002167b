"""The operator's configuration: read with places, checked as a whole, frozen."""
