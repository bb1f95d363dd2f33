"""How a face moves: blinking, head pose, gaze, action units and their correlations."""
