"""A listing of recordings and some work -> a folder of Parquet parts, by processes here or actors of a Ray cluster."""
