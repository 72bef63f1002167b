"""The operator's configuration: loaded with source locations, validated as a whole, frozen."""
