"""synchweb-em: launch, watch and stop RELION for cryo-EM visits, through ISPyB and Zocalo."""

__version__ = "0.1.0"
