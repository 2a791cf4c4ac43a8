"""The few-shot splits of five public benchmarks; ``split_lists`` reads them."""
