"""What the API keeps: repositories, prompts, targets and the stages of a target."""
