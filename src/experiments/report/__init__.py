"""Runs as figures, tables and one page. Its face is `gather.study_of` and `write.write_report`."""
