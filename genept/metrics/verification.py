def check(datasets, params):
    raise NotImplementedError
