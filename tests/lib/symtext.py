"""Reads Breakpad symbol files for tests: small, and independent of the project's own readers."""
import bisect
import re


class Func:
    def __init__(self, start, size, name):
        self.start, self.size, self.name = start, size, name
        self.lines = []    # (address, size, file, line)
        self.inlines = []  # (depth, address, size, origin, file, line)


class Cfi:
    def __init__(self, start, size, rules):
        self.start, self.size, self.rules = start, size, [(start, rules)]

    def at(self, address):
        """The rules in force: {register: expression}."""
        now = {}
        for at, text in sorted(self.rules, key=lambda r: r[0]):
            if at <= address:
                now.update(re.findall(r"(\S+): ((?:(?!\S+: ).)*?)(?= \S+: |$)", text))
        return now


class Sym:
    def __init__(self, text):
        self.header, self.files, self.origins = [], {}, {}
        self.funcs, self.publics, self.cfi = {}, {}, {}
        func = cfi = None
        for line in text.rstrip("\n").split("\n"):
            kind, _, rest = line.partition(" ")
            rest = rest[2:] if kind in ("FUNC", "PUBLIC") and rest.startswith("m ") else rest
            field = rest.split(" ")
            if kind in ("MODULE", "INFO"):
                self.header.append(line)
            elif kind == "FILE":
                self.files[field[0]] = rest.partition(" ")[2]
            elif kind == "INLINE_ORIGIN":
                self.origins[field[0]] = rest.partition(" ")[2]
            elif kind == "FUNC":
                func = Func(int(field[0], 16), int(field[1], 16), " ".join(field[3:]))
                self.funcs[func.start] = func
            elif kind == "INLINE":
                for at, size in zip(field[4::2], field[5::2]):
                    func.inlines.append((int(field[0]), int(at, 16), int(size, 16),
                                         self.origins[field[3]], self.files[field[2]],
                                         int(field[1])))
            elif kind == "PUBLIC":
                self.publics[int(field[0], 16)] = " ".join(field[2:])
            elif line.startswith("STACK CFI INIT "):
                cfi = Cfi(int(field[2], 16), int(field[3], 16), " ".join(field[4:]))
                self.cfi.setdefault(cfi.start, cfi)
            elif line.startswith("STACK CFI "):
                cfi.rules.append((int(field[1], 16), " ".join(field[2:])))
            else:
                func.lines.append((int(kind, 16), int(field[0], 16), self.files[field[2]],
                                   int(field[1])))

    def frames(self, address):
        """[(function, file, line)] at an address, innermost first."""
        starts = sorted(self.funcs)
        func = self.funcs[starts[bisect.bisect_right(starts, address) - 1]]
        calls = sorted(i for i in func.inlines if i[1] <= address < i[1] + i[2])
        file, line = next(((f, n) for a, s, f, n in func.lines if a <= address < a + s), ("?", 0))
        names = [func.name] + [c[3] for c in calls]
        places = [(c[4], c[5]) for c in calls] + [(file, line)]
        return [(n, *p) for n, p in zip(names, places)][::-1]


def evaluate(postfix, registers, memory):
    """An expression of STACK CFI."""
    stack = []
    for token in postfix.split():
        if token == "^":
            stack.append(memory[stack.pop()])
        elif token in "+-*/%@":
            b, a = stack.pop(), stack.pop()
            stack.append({"+": a + b, "-": a - b, "*": a * b, "/": a // b if b else 0,
                          "%": a % b if b else 0, "@": a - a % b if b else 0}[token])
        else:
            stack.append(registers[token] if token in registers else int(token))
    assert len(stack) == 1
    return stack[0]
