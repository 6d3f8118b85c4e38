"""A detector, frozen -> what its evidence gives away, what erasing content does to it, what moves its score."""
