"""Where rows come from: arrays, files, frames and iterables of chunks."""
