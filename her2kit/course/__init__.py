"""The notebooks as a machine runs them: headless runs, rendering, regression, the page that shows it all.

Nothing here measures anything. Open the module that you need; ``her2kit.course.results`` is the one that
notebooks call themselves.
"""
