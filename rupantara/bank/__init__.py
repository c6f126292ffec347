"""The feature bank in one process: exact cosine search by region and species, merging of shards' answers, affinity."""
