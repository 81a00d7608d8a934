"""Countries, the calendar, jobs and first names."""

from recipes.starter.words.table import read_table

COUNTRIES = read_table("""
word capital continent language
France Paris Europe French
Spain Madrid Europe Spanish
Italy Rome Europe Italian
Germany Berlin Europe German
Austria Vienna Europe German
Portugal Lisbon Europe Portuguese
Poland Warsaw Europe Polish
Greece Athens Europe Greek
Norway Oslo Europe Norwegian
Sweden Stockholm Europe Swedish
Denmark Copenhagen Europe Danish
Finland Helsinki Europe Finnish
Hungary Budapest Europe Hungarian
Russia Moscow Europe Russian
England London Europe English
Ireland Dublin Europe English
Romania Bucharest Europe Romanian
Bulgaria Sofia Europe Bulgarian
Croatia Zagreb Europe Croatian
Iceland Reykjavik Europe Icelandic
Japan Tokyo Asia Japanese
China Beijing Asia Chinese
Thailand Bangkok Asia Thai
Vietnam Hanoi Asia Vietnamese
Iran Tehran Asia Persian
Iraq Baghdad Asia Arabic
Turkey Ankara Asia Turkish
Mongolia Ulaanbaatar Asia Mongolian
Egypt Cairo Africa Arabic
Morocco Rabat Africa Arabic
Tunisia Tunis Africa Arabic
Kenya Nairobi Africa Swahili
Ghana Accra Africa English
Angola Luanda Africa Portuguese
Senegal Dakar Africa French
Cuba Havana America Spanish
Mexico Mexico_City America Spanish
Peru Lima America Spanish
Chile Santiago America Spanish
Colombia Bogota America Spanish
Brazil Brasilia America Portuguese
Argentina Buenos_Aires America Spanish
Uruguay Montevideo America Spanish
""")
"""Countries: capital, continent, the main language."""

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

JOBS = read_table("""
word does
baker bakes_bread
teacher teaches_children
farmer grows_food
pilot flies_planes
driver drives_buses
doctor treats_sick_people
nurse cares_for_patients
cook prepares_meals
painter paints_pictures
singer sings_songs
writer writes_books
builder builds_houses
tailor sews_clothes
gardener looks_after_plants
fisher catches_fish
sailor sails_ships
miner digs_for_coal
judge decides_in_court
dentist looks_after_teeth
barber cuts_hair
butcher sells_meat
florist sells_flowers
cleaner cleans_rooms
waiter serves_food
plumber repairs_pipes
poet writes_poems
soldier defends_a_country
dancer dances_on_stage
actor acts_in_plays
librarian lends_books
vet treats_sick_animals
postman delivers_letters
""")
"""Jobs and what those who have them do."""

PEOPLE = read_table("""
word pronoun object
Anna she her
Tom he him
Maria she her
Peter he him
Sara she her
Ben he him
Lucy she her
Max he him
Emma she her
Paul he him
Nina she her
Leo he him
""")
"""First names with the pronouns that stand for them."""
