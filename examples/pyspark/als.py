"""Matrix factorisation by alternating least squares: `als.py [MOVIES USERS FEATURES ROUNDS PARTITIONS]`."""

import sys

import numpy as np
from pyspark.sql import SparkSession

LAMBDA = 0.01


def error(ratings, movies, users):
    return float(np.sqrt(np.mean((ratings - movies @ users.T) ** 2)))


def solved(index, fixed, ratings):
    """The features of one movie or user that fit its ratings best while all the others are fixed."""
    n, features = fixed.shape
    return np.linalg.solve(fixed.T @ fixed + LAMBDA * n * np.eye(features), fixed.T @ ratings[index])


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    n_movies, n_users, n_features, rounds, partitions = given + [60, 80, 5, 5, 2][len(given) :]
    sc = SparkSession.builder.appName("als").getOrCreate().sparkContext
    draw = np.random.default_rng(42)
    ratings = draw.random((n_movies, n_features)) @ draw.random((n_users, n_features)).T
    movies, users = draw.random((n_movies, n_features)), draw.random((n_users, n_features))
    shared_ratings = sc.broadcast(ratings)
    shared_transposed = sc.broadcast(ratings.T)
    for step in range(rounds):
        shared_users = sc.broadcast(users)
        rows = sc.parallelize(range(n_movies), partitions)
        movies = np.array(rows.map(lambda i: solved(i, shared_users.value, shared_ratings.value)).collect())
        shared_movies = sc.broadcast(movies)
        rows = sc.parallelize(range(n_users), partitions)
        users = np.array(rows.map(lambda i: solved(i, shared_movies.value, shared_transposed.value)).collect())
        print(f"round {step}: error {error(ratings, movies, users):.4f}")
    sc.stop()
