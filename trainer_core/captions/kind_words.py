"""The words that tell `kinds` what a Danbooru tag names: nouns in the singular, with `_` between the words of one."""

from __future__ import annotations

WHOLE = {
    "hair": """
        hair_up hair_down hair_rings half_updo two_side_up one_side_up eyes_visible_through_hair bald forehead
        eyebrows_visible_through_hair ears_visible_through_hair hime_cut bob_cut pixie_cut buzz_cut crew_cut undercut
        hair_slicked_back hair_pulled_back hair_spread_out hair_flaps hair_intakes receding_hairline long_sideburns
        """,
    "eyes": """
        no_pupils tsurime tareme sanpaku jitome alternate_eye_color star_in_eye symbol_in_eye heart_in_eye
        bags_under_eyes one-eyed wide-set_eyes
        """,
    "body": """
        muscular toned curvy plump chubby petite slim skinny fat tall short_stature tan old aged_down aged_up
        mature_female androgynous loli shota gyaru kogal flat_chest muscular_female muscular_male dark_skin
        animal_ear_fluff body_writing skindentation thigh_gap dark-skinned_female dark-skinned_male pubic_hair
        female_pubic_hair male_pubic_hair facial_hair chest_hair armpit_hair body_hair arm_hair leg_hair cat_girl
        cat_boy dog_girl fox_girl fox_boy wolf_girl rabbit_girl horse_girl cow_girl dragon_girl demon_girl demon_boy
        monster_girl raccoon_girl bird_girl mouse_girl sheep_girl tiger_girl shark_girl bishounen age_difference
        height_difference size_difference alternate_breast_size old_man old_woman pregnant kemonomimi_mode genderswap
        sharp_teeth round_teeth fang_out skin_fang furrowed_brow ears_down ears_up large_areolae colored_tips tongue
        """,
    "clothes": """
        fake_animal_ears fake_tail fake_horns fake_wings barefoot bottomless strapless sleeveless casual crossdressing
        zettai_ryouiki alternate_costume see-through hood_up hood_down sleeves_rolled_up neck_bell maid miko nurse nun
        witch cheerleader bare_legs bare_arms bare_shoulders bare_back bare_chest bare_hands hair_flower hat_flower
        flower_over_eye off_shoulder single_bare_shoulder covered_navel nail_art hair_tubes hair_bobbles bun_cover
        mary_janes playboy_bunny formal highleg lowleg underwear_only skin_tight v-neck center_opening pelvic_curtain
        shoulder_pads knee_pads elbow_pads arm_guards forehead_protector dog_tags polka_dot gothic_lolita
        zipper_pull_tab criss-cross_halter shirt_tucked_in hair_bell jingle_bell strap_slip strap_gap o-ring unbuttoned
        unzipped bow_bra magical_girl waitress
        """,
    "pose": """
        closed_eyes one_eye_closed half-closed_eyes rolling_eyes crossed_eyes narrowed_eyes open_mouth closed_mouth
        parted_lips puckered_lips tongue_out clenched_teeth clenched_hand clenched_hands eye_contact upper_body
        lower_body full_body spread_legs crossed_legs spread_arms outstretched_arms crossed_arms outstretched_hand
        open_hand arched_back all_fours v w wavy_mouth smug expressionless trembling facepalm fetal_position v_arms
        head_tilt head_rest arm_support solo_focus male_focus pinky_out portrait close-up :d d: :o :3 ;d :< :> :t :p :q
        ;q ;) ;p ;o xd x3 :/ :| >:) >:( c: ^_^ >_< @_@ =_= 0_0 +_+ o_o |_| u_u ._. open_hands outstretched_arm
        interlocked_fingers heart_hands double_v raised_eyebrow raised_eyebrows anger_vein m_legs bent_over wide-eyed
        ahegao torogao gesugao top-down_bottom-up contrapposto face-to-face pigeon-toed indian_style blush_stickers
        lap_pillow upskirt downblouse pantyshot hair_tucking fox_shadow_puppet teeth upper_teeth_only tiptoes headpat
        multiple_views ! ? !? !! imminent_kiss spread_fingers fingersmile naughty_face body_blush turn_pale
        clothes_in_mouth breast_rest spread_ass convenient_arm crossed_ankles
        """,
    "background": """
        outdoors indoors scenery simple_background depth_of_field underwater night_sky light_rays overcast
        falling_petals lens_flare snowing submerged nature light_particles cherry_blossoms autumn_leaves air_bubble
        bubble motion_blur wind
        """,
    "other": """
        star_(symbol) playing_card playing_cards flying_fish drinking_glass drinking_straw reference_sheet bow_(weapon)
        heart_of_string smoking_pipe string_of_fate
        """,
}
"""Tags that their words do not tell, or tell wrongly."""

ACTIONS = """
    looking holding adjusting carrying covering touching grabbing hugging kissing removing pulling pushing lifting
    putting reaching pointing wiping washing tying untying brushing eating drinking biting licking playing reading
    writing riding aiming firing throwing opening giving facing hiding squeezing sitting standing lying kneeling
    squatting crouching leaning undressing dressing waving wading
    """
"""Verbs at the beginning of a tag about a pose, whatever follows them."""

LIMBS = """
    hand arm finger head face leg foot knee cheek breast ass elbow thumb back mouth chin forehead feet
    """
"""What is put somewhere: "hand on hip", "head on pillow"."""

PLACES = """
    on in over under behind between around across through past to against above below from at out beside of with
    """
"""Words before which the thing stands that a tag names: the hair in "hair over one eye"."""

LAST = {
    "hair": """
        hair bangs ponytail twintail braid ahoge sidelock hairstyle bun drill ringlet dreadlock afro mohawk updo quiff
        pompadour topknot pigtail cornrow widow's_peak
        """,
    "eyes": """
        eye pupil sclera eyelash iris heterochromia
        """,
    "body": """
        skin breast chest ear tail wing horn halo freckle mole scar fang tattoo ab muscle eyebrow beard mustache stubble
        goatee lip nose thigh leg foot toe ass shoulder navel stomach belly armpit collarbone neck nipple groin
        fingernail toenail nail claw antler antenna tentacle gill fin scale feather fur snout paw hoof hip waist rib
        marking birthmark vein body physique tanline hand finger limb joint elf mermaid centaur lamia cyborg android
        feet pectoral kneepit areola mark teeth brow furry angel fairy oni vampire kitsune nekomata dimple bulge uterus
        sideburn arm talon
        """,
    "clothes": """
        dress shirt skirt shorts pants jeans leggings jacket coat hoodie sweater cardigan vest blouse top uniform
        serafuku kimono yukata hakama haori robe cape cloak capelet shawl scarf poncho apron suit leotard bodysuit
        swimsuit bikini one-piece underwear bra panties lingerie boxers briefs camisole corset sarashi thong pantyhose
        thighhigh kneehigh sock stocking legwear tights garter strap shoe boot sandal heel sneaker loafer slipper
        footwear geta uwabaki hat cap beret eboshi hood helmet headwear headdress crown tiara bonnet headband hairband
        headgear veil visor mask glasses sunglasses eyewear goggles monocle eyepatch blindfold earring necklace pendant
        bracelet choker ring jewelry brooch anklet collar piercing wristwatch glove mitten gauntlet sleeve cuff
        wristband armband armlet armor breastplate pauldron greave ribbon bow bowtie necktie tie ascot neckerchief
        bandana hairclip hairpin scrunchie ornament belt sash obi suspenders button zipper pocket hem trim frill lace
        buckle clothes clothing outfit costume attire cosplay fashion tassel bag backpack handbag pouch holster sheath
        cutout cleavage midriff print plaid argyle striped nightgown pajamas overalls jumpsuit tunic gown tuxedo blazer
        apparel headphones headset earphones badge makeup lipstick eyeliner eyeshadow polish bandage bandaid nude naked
        topless fishnets sideboob underboob turtleneck halterneck warmers muffler bloomers tabard loincloth corsage
        harness neckline wear pince-nez pasties obiage removed bottom janes buruma epaulette bangle swimwear fundoshi
        gakuran randoseru vambrace earmuffs leash beanie bandeau babydoll watch shrug sarong bracer circlet headpiece
        hachimaki cutoffs latex leather denim camouflage stripe habit thighlet shimenawa dougi cowbell parka raincoat
        kigurumi bowler sunhat wimple cravat strapless negligee slit bodystocking spike
        """,
    "pose": """
        pose smile grin smirk frown blush expression laughing crying angry sad happy embarrassed surprised scared shy
        bored confused serious annoyed nervous worried sleepy drunk tired pout glaring staring wink wince grimace scream
        salute gesture fist perspective shot angle view viewer behind above below aside up down apart together back away
        another stance straddle grab hold lift pull tug press hug kiss carry tear sweat sweatdrop drooling saliva
        profile foreshortening pov raised straight-on focus glance mouth face seiza wariza yokozuwari selfie headpat out
        lick rest
        """,
    "background": """
        background sky cloud sun moon day night evening morning sunset sunrise twilight rain snow tree forest grass
        field bush mountain hill cliff ocean sea beach shore river lake waterfall pool pond desert island city town
        village street road path bridge building house skyscraper castle ruins temple shrine torii gate wall fence
        railing stairs door window room bedroom bathroom kitchen classroom hallway library interior stage floor ceiling
        curtain carpet rug tatami bed pillow bedding blanket sheet futon couch sofa chair bench table desk bookshelf
        lamp lantern lamppost streetlight garden park playground rooftop balcony onsen bathtub horizon landscape
        cityscape architecture sunlight moonlight sunbeam light lighting backlighting blurry bokeh fog mist smoke
        lightning planet galaxy space plant vine foliage bamboo leaf petal crowd tile winter summer autumn spring season
        tombstone water sand rock branch fire flame steam confetti fireworks foreground electricity wave explosion dusk
        dawn
        """,
}
"""Kinds by the word that names the thing itself, in most tags the last; also by the end of a compound: sundress."""

OTHER = """
    drawing painting rating rigging glowing string king wedding pudding viking glass bass class compass brass sword bowl
    rainbow crossbow knight mushroom broom address greyscale screenshot rocket flashlight bullet vegetable censoring
    """
"""Words that end like one of these, or like a verb, and are not."""
