"""Trainings without Ray: the streams that they read, optimiser steps, validation, schedules, averages of weights."""
