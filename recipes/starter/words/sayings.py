"""Sayings and words about words: similes, rhymes, compounds, short forms, the feelings in a review."""

from recipes.starter.words.table import read_table

TRAITS = read_table("""
word image
brave a_lion
busy a_bee
sly a_fox
strong an_ox
quiet a_mouse
stubborn a_mule
free a_bird
gentle a_lamb
proud a_peacock
slow a_snail
wise an_owl
fast a_hare
hungry a_wolf
cool a_cucumber
good gold
""")
"""What people are, and the thing that a simile compares with."""

LOOKS = read_table("""
word image
white snow
black coal
red a_rose
green grass
cold ice
hot fire
hard a_rock
light a_feather
sharp a_razor
sweet honey
clear crystal
dry a_bone
smooth silk
thin a_rake
tough leather
flat a_pancake
bright a_star
deep the_ocean
heavy lead
soft a_cloud
old the_hills
fresh a_daisy
straight an_arrow
""")
"""What things are, and the thing that a simile compares with."""

RHYMES = read_table("""
word rhyme
cat hat
dog frog
house mouse
tree bee
night light
moon spoon
star car
king ring
cake lake
rain train
book cook
bell shell
nose rose
boat goat
ball wall
bear chair
fish dish
door floor
sand hand
nest vest
clock sock
duck truck
sky fly
blue shoe
bed red
day play
snow crow
time lime
coat throat
pen hen
hill mill
gold cold
bone stone
face race
meat seat
wing swing
""")
"""Words and one that rhymes with each."""

COMPOUNDS = read_table("""
first second
sun flower
rain coat
snow man
foot ball
book shop
bed room
tooth brush
hand bag
star fish
tea pot
fire place
water fall
moon light
sea shell
butter fly
pop corn
cup cake
news paper
door bell
air port
blue berry
black bird
class room
house work
eye brow
milk shake
key hole
hair cut
wind mill
farm yard
motor way
stair case
grand mother
rail way
note book
arm chair
tree house
camp fire
gold fish
pan cake
""")
"""Two words that make a third when they are put together; the compound is written in one."""

SHORT_FORMS = read_table("""
word long
km kilometre
kg kilogram
cm centimetre
mm millimetre
ml millilitre
min minute
sec second
hr hour
Dr doctor
St street
Mon Monday
Wed Wednesday
Fri Friday
Sat Saturday
Sun Sunday
Jan January
Feb February
Aug August
Sept September
Oct October
Nov November
Dec December
UK United_Kingdom
USA United_States
TV television
max maximum
approx approximately
dept department
est established
""")
"""Common short forms and what they stand for."""

FEELINGS = read_table("""
word feeling
lovely positive
delicious positive
wonderful positive
great positive
perfect positive
friendly positive
brilliant positive
excellent positive
helpful positive
comfortable positive
terrible negative
awful negative
boring negative
horrible negative
dreadful negative
nasty negative
disappointing negative
useless negative
unpleasant negative
poor negative
""")
"""Adjectives in reviews and what they say about the writer's feeling."""

REVIEWED = ("film", "food", "hotel", "book", "concert", "service", "room", "trip", "game", "weather", "meal", "play")
"""What reviews are about."""
