"""The report of reverse mapping: numbers from merged statistics, figures from the numbers, one page from both."""
