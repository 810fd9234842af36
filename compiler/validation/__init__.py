"""Translation validation: each pass is compared with what it promised, on every compile."""
