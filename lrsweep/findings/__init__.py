"""What the rows of a store come to, for whoever asks: a command, the service, a night.

reading      how one reaches the results: a study's newest sweep, or a named one
look         where a study stands
choosing     a study's finals as results, and the choice among them
promoting    the choice comes into force: the test set read once, a row, a file, a version
reporting    a sweep's rows as the content of its report
asked        what all sources of results have in common
"""
