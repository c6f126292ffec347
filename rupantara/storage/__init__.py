"""Bytes, tables, checkpoints and pretrained networks at any URI: a local folder or `s3://`."""
