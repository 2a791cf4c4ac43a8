"""Experiment tracking as people have it: wandb, mlflow and TensorBoard are told, and never needed."""
