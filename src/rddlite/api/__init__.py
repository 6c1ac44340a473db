"""What users type: Context, RDD, actions."""
