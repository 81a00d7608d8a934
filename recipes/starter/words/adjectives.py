"""Adjectives with their degrees, an opposite and a near synonym."""

from recipes.starter.words.table import read_table

ADJECTIVES = read_table("""
word comparative superlative antonym synonym
big bigger biggest small large
tall taller tallest short high
long longer longest short lengthy
wide wider widest narrow broad
deep deeper deepest shallow low
heavy heavier heaviest light weighty
hot hotter hottest cold boiling
warm warmer warmest cool mild
dry drier driest wet arid
old older oldest new ancient
young younger youngest old youthful
fast faster fastest slow quick
slow slower slowest fast sluggish
early earlier earliest late prompt
hard harder hardest soft firm
soft softer softest hard gentle
strong stronger strongest weak powerful
weak weaker weakest strong feeble
rich richer richest poor wealthy
poor poorer poorest rich needy
loud louder loudest quiet noisy
quiet quieter quietest loud silent
bright brighter brightest dark shiny
dark darker darkest bright gloomy
clean cleaner cleanest dirty spotless
dirty dirtier dirtiest clean filthy
thick thicker thickest thin dense
thin thinner thinnest thick slim
sharp sharper sharpest blunt pointed
smooth smoother smoothest rough even
rough rougher roughest smooth bumpy
happy happier happiest sad glad
sad sadder saddest happy unhappy
angry angrier angriest calm furious
calm calmer calmest angry peaceful
brave braver bravest afraid bold
kind kinder kindest cruel caring
cruel crueler cruelest kind mean
rude ruder rudest polite impolite
lazy lazier laziest busy idle
busy busier busiest lazy active
clever cleverer cleverest stupid smart
wise wiser wisest foolish sensible
simple simpler simplest complex easy
easy easier easiest difficult simple
cheap cheaper cheapest expensive inexpensive
safe safer safest dangerous secure
near nearer nearest far close
full fuller fullest empty packed
tight tighter tightest loose snug
sweet sweeter sweetest bitter sugary
fresh fresher freshest stale new
tiny tinier tiniest huge little
huge huger hugest tiny enormous
pretty prettier prettiest ugly lovely
ugly uglier ugliest pretty hideous
funny funnier funniest serious amusing
healthy healthier healthiest sick fit
sick sicker sickest healthy ill
hungry hungrier hungriest full starving
tired more_tired most_tired rested weary
proud prouder proudest ashamed pleased
strange stranger strangest normal odd
odd odder oddest even unusual
common commoner commonest rare usual
rare rarer rarest common scarce
""")
"""One row an adjective; every word is unique in the first column."""
