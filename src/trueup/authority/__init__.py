"""Asked before every act: may this actor do this, now?"""
