"""Posts that come out of files: reading, altering and producing them."""
