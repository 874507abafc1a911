"""Days of predictions in Parquet files, which are read as if they were in the tables."""
