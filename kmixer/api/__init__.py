"""What `import kmixer` offers beside its packages: training and runs, as short as the commands."""
