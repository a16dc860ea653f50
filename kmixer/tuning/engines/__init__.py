"""The libraries that draw trials: KerasTuner and Optuna, behind one interface."""
