"""What a suite needs from elsewhere: models and weights, and how much time and space a run takes."""
