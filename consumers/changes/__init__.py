"""What operators and moderators put in: settings of the fold, verdicts, banks, erasures."""
