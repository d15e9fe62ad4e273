# Python's multiprocessing, for `cargo compare`: reads the number of operations of a round from each line of its
# standard input, does them, and answers by the nanoseconds that they took.
import multiprocessing
import sys
import time


def small(n):
    return n * n


def first(connection):
    connection.send(time.monotonic_ns())


def spawn(method):
    context = multiprocessing.get_context(method)

    def operations(n):
        total = 0
        for _ in range(n):
            reader, writer = context.Pipe(False)
            start = time.monotonic_ns()
            process = context.Process(target=first, args=(writer,))
            process.start()
            total += reader.recv() - start
            process.join()
        return total

    return operations


def timed(operation):
    def operations(n):
        start = time.monotonic_ns()
        operation(n)
        return time.monotonic_ns() - start

    return operations


def pool_map(tasks):
    pool = multiprocessing.Pool(2)

    def operation(n):
        for _ in range(-(-n // tasks)):
            assert sum(pool.map(small, range(tasks))) == (tasks - 1) * tasks * (2 * tasks - 1) // 6

    return timed(operation)


def pool_apply():
    pool = multiprocessing.Pool(1)

    def operation(n):
        for number in range(n):
            assert pool.apply(small, (number,)) == number * number

    return timed(operation)


def pool_bytes(length):
    pool = multiprocessing.Pool(1)
    argument = bytes(length)

    def operation(n):
        for _ in range(n):
            assert pool.apply(len, (argument,)) == length

    return timed(operation)


def manager_call():
    manager = multiprocessing.Manager()
    shared = manager.dict({1: 42})

    def operation(n):
        for _ in range(n):
            assert shared[1] == 42

    # The server ends with its manager.
    operation.manager = manager
    return timed(operation)


KINDS = {
    "spawn": lambda: spawn("spawn"),
    "fork": lambda: spawn("fork"),
    "map": lambda: pool_map(int(sys.argv[2])),
    "apply": pool_apply,
    "bytes": lambda: pool_bytes(int(sys.argv[2])),
    "manager": manager_call,
}

if __name__ == "__main__":
    operations = KINDS[sys.argv[1]]()
    for line in sys.stdin:
        print(operations(int(line)), flush=True)
