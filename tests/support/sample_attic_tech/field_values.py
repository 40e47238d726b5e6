"""The values that made-up records are built from; accents, emoji and other scripts are there on purpose."""


# ruff: noqa: RUF001 - look-alike characters are what real names hold

FIRST_NAMES = (
    "Ana", "José", "Zoë", "Łukasz", "Siobhán", "Nguyễn", "Björk", "Marta", "Dwayne", "Chloé", "Iñaki", "Aïsha",
    "Olga", "Renée", "Tomás", "Grace", "Søren", "Priya", "Eleni", "Karl-Heinz", "O’Shea", "明", "Юлия", "Fatıma",
)  # fmt: skip
LAST_NAMES = (
    "García", "Müller", "O'Brien", "Peña", "Smith-Jones", "Dvořák", "Håkansson", "Nakamura", "D’Angelo", "Ćosić",
    "Brown", "Lefèvre", "Papadopoulos", "van der Berg", "Ørsted", "López de la Cruz", "Kowalczyk", "李", "Weiß", "Ng",
)  # fmt: skip
STREETS = (
    "Cañada Blvd", "Elm St", "Alpenstraße", "Ocean Ave", "Rue de l’Église", "Ventura Blvd", "Mission St #4",
    "Côte-Vertu Rd", "Sunset Dr", "Peachtree St NE",
)  # fmt: skip
CITIES = ("San José, CA", "Los Ángeles, CA", "Oakland, CA", "Austin, TX", "Cañon City, CO", "Boise, ID")
SERVICES = (
    "Attic insulation 🏠", "Rodent proofing 🐀", "Crawl space cleanup", "Radiant barrier ☀️", "Solar attic fan",
    "Duct replacement", "Air sealing", "Whole-house fan 🌬️",
)  # fmt: skip
BRANCHES = ("San Francisco Bay", "Los Ángeles", "Sacramento", "San José", "Orange County 🍊")
STATUSES = ("draft", "sent", "in_progress", "accepted", "declined", "completed")
PAYMENT_METHODS = ("cash", "check", "credit_card", "financing")
CREW_NOTES = (
    "Dog in the yard 🐕. Call first.",
    "Gate code: #1234\nLadder ≥ 28 ft\tneeded",
    'Client says "no noise before 9".',
    "Clear path C:\\attic\\north; see photos.",
    "",
)
