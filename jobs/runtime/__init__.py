"""How a job runs on Ray: command line, tables, training runs."""
